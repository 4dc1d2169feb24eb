import type { MillraceError } from '../common/errors.js'

/**
 * The fields of a record of Kafka's internal topics, one after the other: big-endian integers, strings with their length as int16, and what Kafka's
 * "flexible" versions have: unsigned varints, and tagged fields at the end. Every length is held against what is left before it is used.
 */
export class FieldReader {
  readonly #bytes: Buffer
  readonly #refusal: (detail: string) => MillraceError
  #at = 0

  constructor(
    bytes: Uint8Array,
    private readonly what: 'key' | 'value',
    refusal: (detail: string) => MillraceError,
  ) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#refusal = refusal
  }

  int8(): number {
    return this.#bytes.readInt8(this.#take(1))
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#take(2))
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#take(4))
  }

  int64(): number {
    const value = Number(this.#bytes.readBigInt64BE(this.#take(8)))
    if (!Number.isSafeInteger(value)) throw this.#refusal(`${this.what} holds ${value}, which is no safe integer`)
    return value
  }

  string(): string {
    const length = this.int16()
    if (length < 0) throw this.#refusal(`${this.what} has a string of ${length} bytes`)
    const from = this.#take(length)
    return this.#bytes.toString('utf8', from, from + length)
  }

  bytes(length: number): Buffer {
    const from = this.#take(length)
    return this.#bytes.subarray(from, from + length)
  }

  /** At most 31 bits. */
  unsignedVarint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#bytes.readUInt8(this.#take(1))
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) {
        if (value > 0x7fff_ffff) break
        return value
      }
    }
    throw this.#refusal(`${this.what} has a varint of more than 31 bits`)
  }

  /** The length of an array whose elements have so many bytes at least. */
  arrayLength(elementBytes: number): number {
    const length = this.unsignedVarint() - 1
    const left = this.#bytes.length - this.#at
    if (length < 0) throw this.#refusal(`${this.what} has an array of ${length} elements`)
    if (length * elementBytes > left) {
      throw this.#refusal(`${this.what} has an array of ${length} elements, and ${left} bytes are left`)
    }
    return length
  }

  /** Optional fields that nobody here asks for. */
  taggedFields(): void {
    for (let fields = this.unsignedVarint(); fields > 0; fields--) {
      this.unsignedVarint()
      this.#take(this.unsignedVarint())
    }
  }

  end(): void {
    if (this.#at !== this.#bytes.length) {
      throw this.#refusal(`${this.what} has ${this.#bytes.length} bytes, ${this.#at} were expected`)
    }
  }

  #take(bytes: number): number {
    const from = this.#at
    const left = this.#bytes.length - from
    if (bytes > left) throw this.#refusal(`${this.what} ends ${bytes - left} bytes too early`)
    this.#at = from + bytes
    return from
  }
}
