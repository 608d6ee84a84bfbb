/** The stable address of <penstock-uploader> for pages of other applications. */
export * from "../uploader.ts";
