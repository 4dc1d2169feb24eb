import { CONTROL_BYTES } from './partition-control.js'

/** Control blocks come from shared buffers that hold so many, of which the system backs only the pages that are touched; the first is small. */
const FIRST_ARENA_BLOCKS = 16
const ARENA_BLOCKS = 204

/** Hands out control blocks; they are never taken back, since any thread may still look at one. */
export class ControlArena {
  #buffer: SharedArrayBuffer | undefined
  #used = 0

  next(): { readonly control: SharedArrayBuffer; readonly controlOffset: number } {
    if (this.#buffer === undefined || this.#used === this.#buffer.byteLength) {
      const blocks = this.#buffer === undefined ? FIRST_ARENA_BLOCKS : ARENA_BLOCKS
      this.#buffer = new SharedArrayBuffer(blocks * CONTROL_BYTES)
      this.#used = 0
    }
    const controlOffset = this.#used
    this.#used += CONTROL_BYTES
    return { control: this.#buffer, controlOffset }
  }
}
