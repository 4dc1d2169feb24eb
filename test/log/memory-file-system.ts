import { type Env, type FileHandle, type FileStat, type FileSystem, nodeEnv } from '../../src/common/env.js'

interface MemoryFile {
  content: Buffer
  size: number
  /** As of its last sync. */
  synced: Buffer
}

/** Files in memory, with a disk that can be slow, full, broken, or lose its power. */
export class MemoryFileSystem implements FileSystem {
  readonly files = new Map<string, MemoryFile>()
  readonly directories = new Set<string>()
  /** Syncs that have begun, in order: the path of each. */
  readonly syncs: string[] = []
  /** Called by each sync of a file; what it returns decides when and how the sync ends. */
  onSync: (path: string) => Promise<void> = async () => undefined
  /** Bytes that all files may hold together. */
  capacity = Number.MAX_SAFE_INTEGER

  open(path: string, mode: 'read' | 'append'): FileHandle {
    let file = this.files.get(path)
    if (file === undefined) {
      if (mode === 'read') throw systemError('ENOENT', path)
      file = { content: Buffer.alloc(0), size: 0, synced: Buffer.alloc(0) }
      this.files.set(path, file)
    }
    return this.#handle(path, file)
  }

  exists(path: string): boolean {
    return (
      this.files.has(path) ||
      this.directories.has(path) ||
      [...this.files.keys()].some((file) => file.startsWith(`${path}/`))
    )
  }

  stat(path: string): FileStat | undefined {
    if (!this.exists(path)) return undefined
    const file = this.files.get(path)
    return { isDirectory: file === undefined, bytes: file?.size ?? 0, modifiedAt: 0 }
  }

  makeDirectory(path: string): void {
    this.directories.add(path)
  }

  list(path: string): string[] {
    const names = new Set<string>()
    for (const entry of [...this.files.keys(), ...this.directories]) {
      if (entry.startsWith(`${path}/`)) names.add(entry.slice(path.length + 1).split('/')[0] as string)
    }
    return [...names].sort()
  }

  rename(from: string, to: string): void {
    const file = this.files.get(from)
    if (file === undefined) throw systemError('ENOENT', from)
    this.files.delete(from)
    this.files.set(to, file)
  }

  remove(path: string): void {
    this.files.delete(path)
  }

  removeTree(path: string): void {
    for (const file of [...this.files.keys()]) if (file.startsWith(`${path}/`)) this.files.delete(file)
    this.directories.delete(path)
  }

  syncDirectory(): void {}

  async syncDirectoryLater(): Promise<void> {}

  createExclusive(path: string, content: string): boolean {
    if (this.files.has(path)) return false
    this.replaceFile(path, content)
    return true
  }

  readFile(path: string): Uint8Array {
    const file = this.files.get(path)
    if (file === undefined) throw systemError('ENOENT', path)
    return new Uint8Array(file.content.subarray(0, file.size))
  }

  replaceFile(path: string, content: Uint8Array | string): void {
    const bytes = Buffer.from(content)
    this.files.set(path, { content: bytes, size: bytes.length, synced: bytes })
  }

  usedBytes(): number {
    let bytes = 0
    for (const file of this.files.values()) bytes += file.size
    return bytes
  }

  /** What a loss of power leaves: of each file what was synced. */
  afterPowerLoss(): MemoryFileSystem {
    const left = new MemoryFileSystem()
    for (const [path, file] of this.files) left.replaceFile(path, Buffer.from(file.synced))
    for (const directory of this.directories) left.directories.add(directory)
    left.remove([...this.files.keys()].find((path) => path.endsWith('/lock')) ?? '')
    return left
  }

  #handle(path: string, file: MemoryFile): FileHandle {
    const sync = (): void => {
      file.synced = Buffer.from(file.content.subarray(0, file.size))
    }
    return {
      path,
      size: () => file.size,
      read: (target, position) => {
        const end = Math.min(file.size, position + target.length)
        if (end <= position) return 0
        target.set(file.content.subarray(position, end))
        return end - position
      },
      write: (source, position) => {
        const end = position + source.length
        if (this.usedBytes() + Math.max(0, end - file.size) > this.capacity) throw systemError('ENOSPC', path)
        if (end > file.content.length) {
          const larger = Buffer.alloc(Math.max(end, file.content.length * 2))
          file.content.copy(larger, 0, 0, file.size)
          file.content = larger
        }
        file.content.set(source, position)
        file.size = Math.max(file.size, end)
      },
      truncate: (bytes) => {
        file.content.fill(0, bytes, file.size)
        file.size = bytes
      },
      sync: async () => {
        this.syncs.push(path)
        const content = Buffer.from(file.content.subarray(0, file.size))
        await this.onSync(path)
        file.synced = content
      },
      syncNow: sync,
      close: () => undefined,
    }
  }
}

export function envOf(fs: FileSystem): Env {
  return { ...nodeEnv, fs }
}

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code })
}
