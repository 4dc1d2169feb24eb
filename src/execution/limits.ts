/** The numbers of running queries, each with its reason. */

/** Longer than any epoch should take; a query that is not at its end by then is held by something that does not return. */
export const CLOSE_TIMEOUT_MS = 30_000

/** After this a partition without data no longer holds the watermark back; an option of the writer says otherwise. */
export const IDLE_AFTER_MS = 5000
