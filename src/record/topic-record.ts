import { type StructType, scalar, structType } from '../types/data-type.js'

/**
 * The columns of a typed record batch: key, its murmur2 hash, timestamp and headers beside the fields of the
 * value. The hash is murmur2 whatever the topic's partitioner, 0 for a null key, so that the engine can rely on it.
 */
export const KEY_SLOT = 0
export const KEY_HASH_SLOT = 1
export const TIMESTAMP_SLOT = 2
export const HEADERS_SLOT = 3
/** Slot, and top-level field, of the value's first field. */
export const VALUE_SLOT = 4

export function topicRecordSchema(value: StructType): StructType {
  return structType([
    { name: '__key', type: scalar('binary'), nullable: true },
    { name: '__keyHash', type: scalar('int'), nullable: false },
    { name: '__timestamp', type: scalar('timestamp'), nullable: false },
    { name: '__headers', type: scalar('binary'), nullable: true },
    ...value.fields,
  ])
}
