/** Room for the hashes of a block's rows, used again for the next block. */
export class HashScratch {
  #hashes = new Int32Array(4096)

  room(rows: number): Int32Array {
    if (rows > this.#hashes.length) this.#hashes = new Int32Array(rows * 2)
    return this.#hashes
  }
}
