import { describe, expect, it } from 'vitest'
import { sealJson, unsealJson } from '../../src/common/sealed-json.js'

const fields = { name: 'clicks', config: { 'segment.bytes': 1000 }, text: 'čaj ✓', list: [1, 2, 3] }

describe('a small file with a checksum', () => {
  it.each([0, 2])('is JSON for people to read, and gives back what was put in (indent %i)', (indent) => {
    const text = sealJson(fields, indent)
    expect(JSON.parse(text)).toMatchObject(fields)
    expect(unsealJson('f', Buffer.from(text))).toEqual({ value: fields, isSealed: true })
  })

  it('may be empty', () => {
    expect(unsealJson('f', Buffer.from(sealJson({})))).toEqual({ value: {}, isSealed: true })
  })

  it('any flipped bit is found, or changes nothing', () => {
    for (const indent of [0, 2]) {
      const whole = Buffer.from(sealJson(fields, indent))
      let found = 0
      for (let bit = 0; bit < whole.length * 8; bit++) {
        const bytes = Buffer.from(whole)
        bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
        try {
          expect(unsealJson('f', bytes).value).toEqual(fields)
        } catch (error) {
          expect(error).toMatchObject({ code: 'FILE_CORRUPT', summary: 'f is corrupt' })
          found += 1
        }
      }
      expect(found).toBeGreaterThan(whole.length * 8 * 0.9)
    }
  })

  it('cut off anywhere it is found', () => {
    const whole = Buffer.from(sealJson(fields))
    for (let bytes = 0; bytes < whole.length - 1; bytes++) {
      expect(() => unsealJson('f', whole.subarray(0, bytes))).toThrow(expect.objectContaining({ code: 'FILE_CORRUPT' }))
    }
  })

  it('of an earlier version it has none, and is read as it is', () => {
    expect(unsealJson('f', Buffer.from('{"a": 1}\n'))).toEqual({ value: { a: 1 }, isSealed: false })
  })

  it.each(['', '[1]', 'null', '{"a":', '{"sealed":1,"a":2}', '{"a":2,"crc32c":"00000000"}'])('%j is none', (text) => {
    expect(() => unsealJson('f', Buffer.from(text))).toThrow(expect.objectContaining({ code: 'FILE_CORRUPT' }))
  })
})
