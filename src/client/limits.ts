/** The clients' numbers, each with its reason. */

/** Records prepared in one go: about two milliseconds of the host's event loop, and large enough that blocks are worth their headers. */
export const SLICE_RECORDS = 10_000

/** Turns of the event loop end after this long while there is more to send. */
export const TURN_MS = 2

/** Sends below this many records are joined with their neighbours of the same turn into one batch per partition. */
export const SMALL_SEND_RECORDS = 1000

/** Records that `write` holds before it hands them on without waiting for the end of the turn. */
export const WRITE_BUFFER_RECORDS = 4096

/** Records handed to a topic and not yet in the log beyond which `write` says to wait for 'drain'. */
export const WRITE_QUEUE_RECORDS_MAX = 65_536

/** How long a consumer hands out records before the event loop gets its turn. */
export const CONSUMER_TURN_MS = 5

/** Kafka's offset.metadata.max.bytes: what a commit may carry beside its offset. */
export const OFFSET_METADATA_BYTES_MAX = 4096
