/** The numbers of running queries, each with its reason. */

/** Longer than any epoch should take; a query that is not at its end by then is held by something that does not return. */
export const CLOSE_TIMEOUT_MS = 30_000

/**
 * So long after it is open an engine with a directory starts its workers, if no query has wanted them before: one that is opened for a moment, to send a
 * few records or to look at its topics, is spared them, and each is a fifth of a second of a core.
 */
export const WORKERS_LINGER_MS = 50

/** After this a partition without data no longer holds the watermark back; an option of the writer says otherwise. */
export const IDLE_AFTER_MS = 5000
