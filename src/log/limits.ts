/** The log's numbers, each with its reason. */

/** One chunk of shared memory: large enough that a seek or a hand-over is rare, small enough that a budget holds many. */
export const CHUNK_BYTES = 4 * 1024 * 1024

/** Chunks that one partition can hold at a time (4 GiB). A fuller one goes on as if the budget were spent. */
export const CHUNK_RING = 1024

/** Chunks in all (64 GiB): the size of the shared pool of free ones. */
export const CHUNKS_MAX = 16_384

/** Fewer than this and two partitions could starve each other. */
export const BUDGET_CHUNKS_MIN = 2

/** A disk partition recycles its oldest chunk only beyond this many, while memory is plenty: readers close to the live edge then never touch a file. */
export const RESIDENT_CHUNKS = 4

/** Partitions that one engine numbers in its life: the size of the shared bitmap of partitions with something to write. */
export const PARTITIONS_MAX = 131_072

/** Partitions of one topic. */
export const TOPIC_PARTITIONS_MAX = 10_000

/** Kafka's bound on a topic's name; with the partition's number it still fits a file name of 255 bytes. */
export const TOPIC_NAME_LENGTH_MAX = 249

/** What a reader takes from a segment file at a time. */
export const FILE_READ_BYTES = 1024 * 1024

/** Reads of files begin at multiples of a page, so that typed blocks keep their alignment and the page cache its rhythm. */
export const FILE_READ_ALIGNMENT = 4096

/** Largest record batch: it must fit a chunk. A length field beyond it is damage, whatever the checksum says. */
export const BATCH_BYTES_MAX = CHUNK_BYTES

/** Segment files that the engine keeps open at a time; each is a file descriptor, and many systems give a process 1024. */
export const OPEN_SEGMENTS_MAX = 256

/** How often recovery points are written down while they move: what a crash makes recovery scan is about this much work. */
export const RECOVERY_POINT_MS = 2000

/** How long the engine waits before it tries a full disk again. */
export const NO_SPACE_RETRY_MS = 250

/** How soon the engine looks again for chunks that a reader had pinned. */
export const RECLAIM_RETRY_MS = 2

/** Bytes that one turn of the engine writes for one partition before the others get theirs. */
export const WRITE_SLICE_BYTES = 8 * 1024 * 1024

/** Producer ids reserved on disk at a time: a crash wastes as many, and 2^53 are there. */
export const PRODUCER_IDS_BLOCK = 1000

/** Epochs of a transactional id reserved on disk at a time. A crash wastes as many of 32,767, and then the id gets another producer id. */
export const PRODUCER_EPOCHS_BLOCK = 100

/** Committed transactions whose markers are not known to be synced, beyond which they are synced whatever the fsync mode: what recovery must look through. */
export const UNDONE_DECISIONS_MAX = 1000

/** How often the coordinator looks for ids and producers that have expired. */
export const HOUSEKEEPING_MS = 600_000

/** Kafka's transactional.id.expiration.ms and producer.id.expiration.ms: a week, and a day. */
export const TRANSACTIONAL_ID_EXPIRATION_MS = 7 * 24 * 3_600_000
export const PRODUCER_ID_EXPIRATION_MS = 24 * 3_600_000

/** Kafka's transaction.timeout.ms. */
export const TRANSACTION_TIMEOUT_MS = 60_000

/** Kafka's log.retention.check.interval.ms; a topic whose own times are shorter is looked at more often. */
export const CLEANER_CHECK_MS = 300_000

/** However short a topic's times are. */
export const CLEANER_CHECK_MS_MIN = 500

/** After a segment was sealed: long enough that a burst of rolls is one round. */
export const CLEANER_SOON_MS = 100

/** Work of retention and compaction between two turns of the engine's event loop: a group commit or an epoch waits this much longer at most. */
export const CLEANER_SLICE_MS = 1

/** Kafka's log.cleaner.dedupe.buffer.size is 128 MiB for all its threads; here one partition is compacted at a time. */
export const CLEANER_MAP_BYTES = 64 * 1024 * 1024

/** The same where they are compressed first, which takes gzip about ten milliseconds for so many. */
export const PACK_SLICE_BYTES = 1024 * 1024
