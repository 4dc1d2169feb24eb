/** What reads records out of the log, loaded with the first consumer that subscribes: who only runs queries in memory, or only sends, has no use for it. */
export { PartitionReader } from '../log/partition-reader.js'
export { PartitionFetcher } from './partition-fetcher.js'
export { RecordDecoder } from './record-decoder.js'
