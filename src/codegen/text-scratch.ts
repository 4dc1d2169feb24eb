import type { FunctionSource } from '../common/function-source.js'
import type { CodeValue } from './code-value.js'

const encoder = new TextEncoder()

/** The UTF-8 bytes of one computed string, held until the next one: what a generated loop needs to hash and compare it. */
export class TextScratch {
  u8 = new Uint8Array(64)
  dv = new DataView(this.u8.buffer)
  length = 0

  set(value: string | Uint8Array): void {
    const most = typeof value === 'string' ? value.length * 3 : value.length
    if (most > this.u8.length) {
      this.u8 = new Uint8Array(Math.max(most, this.u8.length * 2))
      this.dv = new DataView(this.u8.buffer)
    }
    if (typeof value === 'string') {
      this.length = encoder.encodeInto(value, this.u8).written as number
    } else {
      this.u8.set(value)
      this.length = value.length
    }
  }
}

/** A computed string gets bytes of its own, since keys are hashed and compared as bytes. */
export function asBytes(source: FunctionSource, value: CodeValue): CodeValue {
  if (value.bytes !== undefined || (value.type.kind !== 'string' && value.type.kind !== 'binary')) return value
  const scratch = source.constant(new TextScratch())
  const held = value.isNull === 'false' ? value.value : `${value.isNull} ? '' : ${value.value}`
  source.line(`${scratch}.set(${held});`)
  return {
    ...value,
    bytes: { u8: `${scratch}.u8`, dv: `${scratch}.dv`, start: '0', end: `${scratch}.length` },
  }
}
