import type { FileHandle, FileStat, FileSystem } from '../common/env.js'
import { SimulatedDirectory } from './simulated-directory.js'
import { parentOf, type SimulatedDisk, systemError } from './simulated-disk.js'
import { SimulatedFile } from './simulated-file.js'

/**
 * A simulated disk as one process has it. When the process is killed, or the power goes, the mount is detached: what the program that was
 * interrupted still tries throws, has no effect, and its syncs never end.
 */
export class SimulatedMount implements FileSystem {
  readonly #disk: SimulatedDisk
  readonly #powerLosses: number
  #detached = false

  constructor(disk: SimulatedDisk) {
    this.#disk = disk
    this.#powerLosses = disk.powerLosses
  }

  get isAttached(): boolean {
    return !this.#detached && this.#disk.powerLosses === this.#powerLosses
  }

  detach(): void {
    this.#detached = true
  }

  open(path: string, mode: 'read' | 'append'): FileHandle {
    return this.#handle(path, this.#open(path, mode === 'append'))
  }

  exists(path: string): boolean {
    this.#assertAttached()
    return this.#disk.lookup(path) !== undefined
  }

  /** Contents have no times here: what is never the same twice would not replay. */
  stat(path: string): FileStat | undefined {
    this.#assertAttached()
    const node = this.#disk.lookup(path)
    if (node === undefined) return undefined
    const isDirectory = node instanceof SimulatedDirectory
    return { isDirectory, bytes: isDirectory ? 0 : node.size, modifiedAt: 0 }
  }

  makeDirectory(path: string): void {
    if (this.exists(path)) return
    this.#operation('makeDirectory', path)
    this.#disk.makeDirectories(path)
  }

  list(path: string): string[] {
    this.#assertAttached()
    const node = this.#disk.lookup(path)
    if (node === undefined) return []
    return [...this.#disk.directory(path, 'scandir').seen.keys()].sort()
  }

  rename(from: string, to: string): void {
    this.#operation('rename', to)
    this.#disk.rename(from, to)
  }

  remove(path: string): void {
    this.#assertAttached()
    const node = this.#disk.lookup(path)
    if (node === undefined) return
    if (node instanceof SimulatedDirectory) throw systemError('EISDIR', 'rm', path)
    this.#operation('remove', path)
    this.#disk.name(path, undefined)
  }

  removeTree(path: string): void {
    this.#assertAttached()
    const node = this.#disk.lookup(path)
    if (node instanceof SimulatedDirectory) for (const name of [...node.seen.keys()]) this.removeTree(`${path}/${name}`)
    if (node === undefined) return
    this.#operation('remove', path)
    this.#disk.name(path, undefined)
  }

  syncDirectory(path: string): void {
    this.#assertAttached()
    const directory = this.#disk.directory(path, 'fsync')
    this.#operation('syncDirectory', path)
    this.#disk.syncNames(directory, this.#disk.nameMark())
  }

  syncDirectoryLater(path: string): Promise<void> {
    const disk = this.#disk
    return this.#later(() => {
      const directory = disk.directory(path, 'fsync')
      const mark = disk.nameMark()
      return () => {
        this.#operation('syncDirectory', path)
        disk.syncNames(directory, mark)
      }
    })
  }

  createExclusive(path: string, content: string): boolean {
    if (this.exists(path)) return false
    const file = this.#open(path, true)
    this.#write(file, path, Buffer.from(content), 0)
    return true
  }

  readFile(path: string): Uint8Array {
    const file = this.#open(path, false)
    this.#operation('read', path)
    return file.content()
  }

  replaceFile(path: string, content: Uint8Array | string): void {
    const temporary = `${path}.tmp`
    const file = this.#open(temporary, true)
    if (file.size > 0) this.#truncate(file, temporary, 0)
    this.#write(file, temporary, Buffer.from(content), 0)
    this.#syncNow(file, temporary)
    this.rename(temporary, path)
    this.syncDirectory(parentOf(path))
  }

  #open(path: string, make: boolean): SimulatedFile {
    this.#assertAttached()
    const node = this.#disk.lookup(path)
    if (node instanceof SimulatedDirectory) throw systemError('EISDIR', 'open', path)
    if (node !== undefined) {
      this.#operation('open', path)
      return node
    }
    if (!make) throw systemError('ENOENT', 'open', path)
    this.#disk.directory(parentOf(path), 'open')
    this.#operation('create', path)
    const file = new SimulatedFile()
    this.#disk.name(path, file)
    return file
  }

  #handle(path: string, file: SimulatedFile): FileHandle {
    let open = true
    const assertOpen = (call: string): void => {
      if (!open) throw systemError('EBADF', call, path)
    }
    return {
      path,
      size: () => {
        this.#assertAttached()
        assertOpen('fstat')
        return file.size
      },
      read: (target, position) => {
        assertOpen('read')
        this.#operation('read', path)
        return file.read(target, position)
      },
      write: (source, position) => {
        assertOpen('write')
        this.#write(file, path, source, position)
      },
      truncate: (bytes) => {
        assertOpen('ftruncate')
        this.#truncate(file, path, bytes)
      },
      sync: () => {
        assertOpen('fdatasync')
        return this.#later(() => {
          const mark = file.mark()
          return () => this.#endSync(file, path, mark)
        })
      },
      syncNow: () => {
        assertOpen('fdatasync')
        this.#syncNow(file, path)
      },
      close: () => {
        open = false
      },
    }
  }

  #write(file: SimulatedFile, path: string, source: Uint8Array, position: number): void {
    this.#operation('write', path, source.length)
    const disk = this.#disk
    const growth = Math.max(0, position + source.length - file.size)
    if (Number.isFinite(disk.capacity) && growth > 0) {
      const room = disk.capacity - disk.usedBytes()
      if (growth > room) {
        // As a real disk does: what fits is written, and the next call finds no space.
        const fits = Math.max(0, source.length - growth + Math.max(0, room))
        if (fits > 0) file.write(source.subarray(0, fits), position)
        throw systemError('ENOSPC', 'write', path)
      }
    }
    file.write(source, position)
  }

  #truncate(file: SimulatedFile, path: string, bytes: number): void {
    this.#operation('truncate', path)
    file.truncate(bytes)
  }

  #syncNow(file: SimulatedFile, path: string): void {
    this.#assertAttached()
    this.#endSync(file, path, file.mark())
  }

  #endSync(file: SimulatedFile, path: string, mark: number): void {
    try {
      this.#operation('sync', path)
    } catch (error) {
      if (this.isAttached) file.failDurable(mark, this.#disk.options.random)
      throw error
    }
    file.makeDurable(mark)
  }

  /** `begin` looks at what is to be synced now; what it returns makes it durable when the disk is done with it. */
  #later(begin: () => () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#assertAttached()
      const finish = begin()
      const end = (): void => {
        if (!this.isAttached) return
        try {
          finish()
          resolve()
        } catch (error) {
          if (this.isAttached) reject(error)
        }
      }
      const { clock, random, syncMs } = this.#disk.options
      if (clock === undefined) queueMicrotask(end)
      else {
        const [low, high] = syncMs ?? [0.1, 5]
        clock.timer(low + random.next() * (high - low), end)
      }
    })
  }

  #operation(kind: Parameters<SimulatedDisk['operation']>[0], path: string, bytes = 0): void {
    this.#assertAttached()
    this.#disk.operation(kind, path, bytes)
    // A test may have cut the power at just this operation.
    this.#assertAttached()
  }

  #assertAttached(): void {
    if (!this.isAttached) throw systemError('ESHUTDOWN', 'file', 'the process is gone')
  }
}
