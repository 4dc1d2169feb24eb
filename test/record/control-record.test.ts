import { describe, expect, test } from 'vitest'
import {
  BATCH_HEADER_BYTES,
  batchByteLength,
  batchDamage,
  CRC,
  readBatchHeader,
  sealBatch,
} from '../../src/record/batch-header.js'
import {
  ControlType,
  isControlBatch,
  markerWriter,
  readControlRecord,
  transactionMarker,
} from '../../src/record/control-record.js'
import { viewsOf } from '../../src/types/block.js'

const marker = {
  type: ControlType.abort,
  producerId: 2 ** 40 + 7,
  producerEpoch: 3,
  coordinatorEpoch: 5,
  timestamp: 1_700_000_000_000,
}

describe('a transaction marker', () => {
  test("K-3: is Kafka's control batch, byte for byte", () => {
    const views = viewsOf(new ArrayBuffer(256))
    const length = markerWriter.writeTo(transactionMarker({ ...marker, aligned: false }), views, 8, 42)
    const bytes = Buffer.from(views.u8.subarray(8, 8 + length))
    expect(bytes.subarray(BATCH_HEADER_BYTES).toString('hex')).toBe(
      '20' + '00' + '00' + '00' + '08' + '0000' + '0000' + '0c' + '0000' + '00000005' + '00',
    )
    expect(batchDamage(views, 8, 8 + length)).toBeUndefined()
    const header = readBatchHeader(views.dv, 8)
    expect(header).toMatchObject({ baseOffset: 42, attributes: 0x30, recordCount: 1, lastOffsetDelta: 0 })
    expect(header).toMatchObject({ producerId: marker.producerId, producerEpoch: 3, baseSequence: -1 })
  })

  test.each([ControlType.abort, ControlType.commit])('of type %i is read back', (type) => {
    for (const aligned of [false, true]) {
      const views = viewsOf(new ArrayBuffer(256))
      markerWriter.writeTo(transactionMarker({ ...marker, type, aligned }), views, 16, 0)
      expect(isControlBatch(views.dv, 16)).toBe(true)
      expect(readControlRecord(views, 16)).toEqual({ type, coordinatorEpoch: 5 })
    }
  })

  test('of a typed topic is a multiple of 8 bytes, so that blocks behind it are aligned', () => {
    expect(transactionMarker({ ...marker, aligned: true }).byteLength % 8).toBe(0)
  })

  test('with any byte of its record changed is read as something or refused, never beyond its end', () => {
    const views = viewsOf(new ArrayBuffer(128))
    const length = markerWriter.writeTo(transactionMarker({ ...marker, aligned: false }), views, 0, 0)
    const whole = views.u8.slice(0, length)
    for (let at = BATCH_HEADER_BYTES; at < length; at++) {
      for (let value = 0; value < 256; value++) {
        views.u8.set(whole)
        views.u8[at] = value
        try {
          const { type } = readControlRecord(views, 0)
          expect(Number.isInteger(type)).toBe(true)
        } catch (error) {
          expect(error).toMatchObject({ code: 'RECORD_CORRUPT' })
        }
      }
    }
  })

  test('of a type that is not known is given with its type', () => {
    const views = viewsOf(new ArrayBuffer(128))
    const length = markerWriter.writeTo(transactionMarker({ ...marker, aligned: false }), views, 0, 0)
    views.dv.setInt16(BATCH_HEADER_BYTES + 7, 6)
    expect(readControlRecord(views, 0)).toEqual({ type: 6, coordinatorEpoch: -1 })
    expect(batchByteLength(views.dv, 0)).toBe(length)
  })

  test('has a checksum over all of it', () => {
    const views = viewsOf(new ArrayBuffer(128))
    const length = markerWriter.writeTo(transactionMarker({ ...marker, aligned: false }), views, 0, 0)
    const stored = views.dv.getUint32(CRC)
    sealBatch(views, 0, { ...readBatchHeader(views.dv, 0), producerId: 8 })
    expect(views.dv.getUint32(CRC)).not.toBe(stored)
    expect(batchDamage(views, 0, length)).toBeUndefined()
  })
})
