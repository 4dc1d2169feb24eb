import type { FileSystem } from '../../common/env.js'
import { MillraceError } from '../../common/errors.js'
import { nameTest, pathPattern } from './path-pattern.js'

/**
 * Which files a path stands for: itself, all below a folder, or what a pattern names. Names that begin with a dot or an underscore are
 * nobody's business but their writer's: half files, logs, marks.
 */
export interface FoundFile {
  readonly path: string
  readonly bytes: number
  readonly modifiedAt: number
  /** What the folders on the way say of all its rows: `day=2026-02-28`; null is Hive's name for it. */
  readonly values: readonly (readonly [name: string, text: string | null])[]
}

/** The folder of rows whose value is null, as Hive and Spark name it. */
export const NULL_PARTITION = '__HIVE_DEFAULT_PARTITION__'

const isHidden = (name: string): boolean => name.startsWith('.') || name.startsWith('_')

/** Sorted by path. A path without wildcards must be there. */
export function listFiles(fs: FileSystem, path: string, nameFilter?: string): FoundFile[] {
  const { base, names } = pathPattern(path)
  const wanted = nameFilter === undefined ? () => true : nameTest(nameFilter)
  if (names.length === 0 && fs.stat(base) === undefined) {
    throw new MillraceError('PATH_NOT_FOUND', `there is no file or folder ${path}`, {
      detail: 'found nothing of that name',
      hint: 'check the path; one that is not absolute begins at the working directory of the process',
    })
  }
  const found: FoundFile[] = []
  const take = (at: string, values: FoundFile['values']): void => {
    let stat: ReturnType<FileSystem['stat']>
    let below: string[] = []
    try {
      stat = fs.stat(at)
      if (stat?.isDirectory === true) below = fs.list(at)
    } catch (cause) {
      throw notReadable(at, cause)
    }
    // Gone since its folder was listed.
    if (stat === undefined) return
    if (stat.isDirectory) {
      for (const name of below) if (!isHidden(name)) take(joined(at, name), [...values, ...folderValue(name)])
    } else if (wanted(at.slice(at.lastIndexOf('/') + 1))) {
      found.push({ path: at, bytes: stat.bytes, modifiedAt: stat.modifiedAt, values })
    }
  }
  const walk = (at: string, depth: number, values: FoundFile['values']): void => {
    const test = names[depth]
    if (test === undefined) {
      take(at, values)
      return
    }
    for (const name of fs.list(at === '' ? '.' : at)) {
      if (!isHidden(name) && test(name)) walk(joined(at, name), depth + 1, [...values, ...folderValue(name)])
    }
  }
  walk(base, 0, [])
  return found
}

const joined = (folder: string, name: string): string =>
  folder === '' ? name : folder.endsWith('/') ? `${folder}${name}` : `${folder}/${name}`

/** `name=text`, both with `%3D` and the like for characters that a folder's name may not have. */
function folderValue(name: string): readonly (readonly [string, string | null])[] {
  const at = name.indexOf('=')
  if (at < 1) return []
  const text = name.slice(at + 1)
  return [[unescaped(name.slice(0, at)), text === NULL_PARTITION ? null : unescaped(text)]]
}

function unescaped(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

export function notReadable(path: string, cause: unknown): MillraceError {
  return new MillraceError('FILE_NOT_READABLE', `${path} cannot be read`, {
    detail: `found ${cause instanceof Error ? cause.message : String(cause)}`,
    hint: 'check that the file is there and that this process may read it',
    cause,
  })
}
