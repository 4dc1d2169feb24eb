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

/** How often committed offsets are looked through for such as have expired: Kafka's offsets.retention.check.interval.ms. */
export const GROUP_EXPIRY_CHECK_MS = 600_000

/** Kafka's offsets.retention.minutes, as milliseconds: seven days. */
export const OFFSETS_RETENTION_MS = 7 * 24 * 3_600_000

/** How long handlers of a revoked partition are waited for before their consumer is expelled: kafkajs' rebalanceTimeout. */
export const REBALANCE_TIMEOUT_MS = 60_000

/** Kafka's auto.commit.interval.ms. */
export const AUTO_COMMIT_INTERVAL_MS = 5000

/** Records that a consumer takes out of the log at a time at least, where there are so many: Kafka's max.poll.records. Record batches are taken whole. */
export const FETCH_RECORDS = 500

/** Waits between tries of a handler double up to this. */
export const RETRY_BACKOFF_MS_MAX = 30_000

/** How many messages are given out between two looks at the clock. */
export const MESSAGES_PER_LOOK = 64

/** Bytes of record batches that a consumer takes out at a time, and one record batch more: what it holds of a large partition. */
export const FETCH_BYTES = 1024 * 1024

/** How long an engine that closes waits for the handlers of its consumers. */
export const CLOSE_TIMEOUT_MS = 5000

/** After this long a stop that waits for callbacks says so: a stop that is awaited within a callback would wait for itself without a word. */
export const STOP_WARNING_MS = 10_000

/** Kafka's delivery.timeout.ms: how long an idempotent producer waits out what may pass, such as a full disk. */
export const DELIVERY_TIMEOUT_MS = 120_000

/** Kafka's max.block.ms: how long a send waits for room in its producer's buffer. */
export const MAX_BLOCK_MS = 60_000

/** How soon a send that found the disk full is tried again. */
export const SPACE_RETRY_MS = 100
