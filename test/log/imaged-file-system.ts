import { MemoryFileSystem } from './memory-file-system.js'

/** Keeps an image of the disk at every step that changes it: as a kill leaves it, and as a loss of power does. */
export class ImagedFileSystem extends MemoryFileSystem {
  readonly images: { readonly fs: MemoryFileSystem; readonly how: 'kill' | 'power'; readonly done: number }[] = []
  /** What the test has been told is done; every image says it. */
  done = 0

  override open(path: string, mode: 'read' | 'append'): ReturnType<MemoryFileSystem['open']> {
    const handle = super.open(path, mode)
    return {
      ...handle,
      write: (source, position) => {
        // The kill comes in the middle of the write, too.
        if (source.length > 1) {
          handle.write(source.subarray(0, source.length >> 1), position)
          this.#keep()
        }
        handle.write(source, position)
        this.#keep()
      },
      sync: async () => {
        await handle.sync()
        this.#keep()
      },
    }
  }

  override replaceFile(path: string, content: Uint8Array | string): void {
    super.replaceFile(path, content)
    this.#keep()
  }

  #keep(): void {
    this.images.push({ fs: this.afterPowerLoss(), how: 'power', done: this.done })
    const killed = new MemoryFileSystem()
    for (const [path, file] of this.files)
      if (!path.endsWith('/lock')) killed.replaceFile(path, Buffer.from(file.content.subarray(0, file.size)))
    for (const directory of this.directories) killed.directories.add(directory)
    this.images.push({ fs: killed, how: 'kill', done: this.done })
  }
}

/** All images under MILLRACE_EVERY_STEP, as the nightly run has it; else a third of them. */
export function chosen<T>(images: readonly T[]): readonly T[] {
  return process.env['MILLRACE_EVERY_STEP'] === undefined ? images.filter((_, i) => i % 3 === 0) : images
}
