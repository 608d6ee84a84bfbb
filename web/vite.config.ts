import { defineConfig } from "vitest/config";

// Three kinds of files come out: the two pages, scripts and styles whose names carry a hash (cacheable for ever), and
// the two web components below embed/ under names that stay, for pages of other applications.
export default defineConfig({
  base: "/studio/",
  build: {
    outDir: "../src/penstock/api/studio",
    emptyOutDir: true,
    target: "es2022",
    assetsDir: "static",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 600,
    rollupOptions: {
      preserveEntrySignatures: "exports-only",
      input: {
        index: "index.html",
        watch: "watch.html",
        "penstock-uploader": "src/uploader.ts",
        "penstock-player": "src/player.ts",
      },
      output: {
        entryFileNames: (chunk) =>
          chunk.name.startsWith("penstock-") ? "embed/[name].js" : "static/[name]-[hash].js",
        chunkFileNames: "static/[name]-[hash].js",
        assetFileNames: "static/[name]-[hash][extname]",
      },
    },
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
