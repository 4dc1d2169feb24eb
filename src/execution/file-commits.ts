import { crc32c } from '../common/checksum.js'
import { makeDirectoryDurably } from '../common/durable-directory.js'
import type { Env, FileHandle } from '../common/env.js'
import { MillraceError } from '../common/errors.js'

/**
 * The commit log of a folder that a stream writes: whose folder it is, and for each epoch how long the files were that were open then. What it says of an epoch counts if
 * the query's checkpoint has committed the epoch. Drawn in docs/formats.md.
 *
 *   // a line: CRC-32C of what follows the space, eight hexadecimal digits; a space; JSON; line feed
 *   {"version":1,"owner":"…"}
 *   {"epoch":7,"open":{"day=1/part-….json":8192},"closed":["day=1/part-….json"]}
 */
export const COMMITS_FOLDER = '_millrace'
const VERSION = 1
/** The log is written anew where it is longer than this. */
const COMPACT_BYTES = 1 << 20

interface HeadLine {
  readonly version: number
  readonly owner: string
}

interface EpochLine {
  readonly epoch: number
  readonly open: Readonly<Record<string, number>>
  readonly closed?: readonly string[]
}

export const commitsPath = (folder: string): string => `${folder}/${COMMITS_FOLDER}/commits.log`

export class FileCommits {
  #file: FileHandle | undefined
  #end = 0

  private constructor(
    private readonly env: Env,
    private readonly path: string,
    private readonly owner: string,
  ) {}

  /** `open`: files as they were when epoch `committed` ended, by which an earlier run is made good. */
  static open(
    env: Env,
    folder: string,
    owner: string,
    committed: number,
  ): { readonly log: FileCommits; readonly open: ReadonlyMap<string, number> } {
    const path = commitsPath(folder)
    const open = env.fs.exists(path) ? readCommits(env, path, folder, owner, committed) : new Map<string, number>()
    makeDirectoryDurably(env.fs, `${folder}/${COMMITS_FOLDER}`)
    return { log: new FileCommits(env, path, owner), open }
  }

  /** Begins anew: all that was open is closed. */
  begin(epoch: number, open: Readonly<Record<string, number>> = {}): void {
    this.close()
    const head: HeadLine = { version: VERSION, owner: this.owner }
    const content = Buffer.from(line(head) + line({ epoch, open } satisfies EpochLine))
    this.env.fs.replaceFile(this.path, content)
    this.#file = this.env.fs.open(this.path, 'append')
    this.#end = content.length
  }

  /** `all`: every file that is open with its length, in case the log is written anew. */
  async append(written: EpochLine, all: () => Readonly<Record<string, number>>): Promise<void> {
    if (this.#end > COMPACT_BYTES) {
      this.begin(written.epoch, all())
      return
    }
    const bytes = Buffer.from(line(written))
    this.#file?.write(bytes, this.#end)
    this.#end += bytes.length
    await this.#file?.sync()
  }

  close(): void {
    this.#file?.close()
    this.#file = undefined
  }
}

function line(content: HeadLine | EpochLine): string {
  const json = JSON.stringify(content)
  return `${checksum(json)} ${json}\n`
}

function checksum(json: string): string {
  const bytes = Buffer.from(json)
  return (crc32c(bytes, 0, bytes.length) >>> 0).toString(16).padStart(8, '0')
}

function readCommits(env: Env, path: string, folder: string, owner: string, committed: number): Map<string, number> {
  const lines = Buffer.from(env.fs.readFile(path)).toString().split('\n')
  // What follows the last line feed was never synced.
  lines.pop()
  const parsed = lines.map((text, i) => {
    const json = text.slice(9)
    if (text.slice(0, 8) === checksum(json)) return JSON.parse(json) as HeadLine | EpochLine
    if (i === lines.length - 1 && i > 0) return undefined
    throw new MillraceError('SINK_LOG_CORRUPT', `the commit log ${path} is corrupt in line ${i + 1}`, {
      detail: `stored checksum ${text.slice(0, 8)}, computed ${checksum(json)}`,
      hint: 'restore the file; or write into another folder, with a new checkpointLocation',
    })
  })
  const [head, ...rest] = parsed as [HeadLine, ...(EpochLine | undefined)[]]
  if (head.version > VERSION) {
    throw new MillraceError('FORMAT_NEWER', `${path} was written by a newer version`, {
      detail: `found version ${head.version}, expected at most ${VERSION}`,
      hint: 'use the version that wrote it',
    })
  }
  if (head.owner !== owner) throw folderTaken(folder, head.owner, owner)
  const open = new Map<string, number>()
  for (const one of rest) {
    if (one === undefined || one.epoch > committed) continue
    for (const file of one.closed ?? []) open.delete(file)
    for (const [file, bytes] of Object.entries(one.open)) open.set(file, bytes)
  }
  return open
}

export function folderTaken(folder: string, found: string, expected: string): MillraceError {
  return new MillraceError('SINK_FOLDER_TAKEN', `the folder ${folder} is written by another query`, {
    detail: `found the commit log of ${found}, expected that of ${expected}`,
    hint: `write into another folder, or go on with the checkpoint that it belongs to; without ${COMMITS_FOLDER}/ a folder belongs to nobody`,
  })
}
