/** The stable address of <penstock-player> for pages of other applications. */
export * from "../player.ts";
