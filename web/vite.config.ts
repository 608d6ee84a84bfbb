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
    // Preload links in the pages only: in the components they would carry our base path into other applications' pages.
    modulePreload: {
      polyfill: false,
      resolveDependencies: (_file, dependencies, { hostType }) => (hostType === "html" ? dependencies : []),
    },
    chunkSizeWarningLimit: 600,
    rollupOptions: {
      preserveEntrySignatures: "exports-only",
      input: {
        index: "index.html",
        watch: "watch.html",
        "penstock-uploader": "src/embed/penstock-uploader.ts",
        "penstock-player": "src/embed/penstock-player.ts",
      },
      output: {
        entryFileNames: (chunk) =>
          chunk.name.startsWith("penstock-") ? "embed/[name].js" : "static/[name]-[hash].js",
        // The components have a hash of their own; what is below embed/ only leads to them.
        manualChunks: {
          base: [
            "src/api.ts",
            "src/dom.ts",
            "src/format.ts",
            "src/styles/tokens.css?inline",
            "src/styles/controls.css?inline",
          ],
          uploader: ["src/uploader.ts"],
          player: ["src/player.ts"],
        },
        chunkFileNames: "static/[name]-[hash].js",
        assetFileNames: "static/[name]-[hash][extname]",
      },
    },
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
