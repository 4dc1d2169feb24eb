import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Env, nodeEnv } from '../../src/common/env.js'
import { DirectoryLock } from '../../src/log/directory-lock.js'
import { temporaryDirectory } from './log-fixture.js'

describe('the directory lock', () => {
  let directory: { readonly path: string; remove(): void }
  beforeEach(() => {
    directory = temporaryDirectory()
  })
  afterEach(() => directory.remove())

  const heldBy = (holder: object): void => writeFileSync(`${directory.path}/lock`, JSON.stringify(holder))
  const own = {
    pid: process.pid,
    bootId: nodeEnv.processes.bootId(),
    startTime: nodeEnv.processes.startOf(process.pid),
    since: '2026-01-01T00:00:00.000Z',
  }

  it('names the process that holds it, also where that is this one', () => {
    const lock = DirectoryLock.acquire(nodeEnv, directory.path)
    expect(() => DirectoryLock.acquire(nodeEnv, directory.path)).toThrow(
      expect.objectContaining({ code: 'DIRECTORY_IN_USE', detail: expect.stringContaining(`process ${process.pid}`) }),
    )
    lock.release()
    DirectoryLock.acquire(nodeEnv, directory.path).release()
    expect(existsSync(`${directory.path}/lock`)).toBe(false)
  })

  it.each([
    ['whose process is gone', { pid: 2 ** 22 + 5 }],
    ['from before a boot of the machine', { bootId: 'another' }],
    ['of another process that had the same pid', { startTime: '1' }],
  ])('is taken over from a holder %s', (_, change) => {
    heldBy({ ...own, ...change })
    DirectoryLock.acquire(nodeEnv, directory.path).release()
  })

  it('is taken over where it is half written', () => {
    writeFileSync(`${directory.path}/lock`, '{"pid": 1')
    DirectoryLock.acquire(nodeEnv, directory.path).release()
  })

  it('is not taken from one that took it over first', () => {
    heldBy({ ...own, startTime: '1' })
    let raced = false
    const env: Env = {
      ...nodeEnv,
      fs: {
        ...nodeEnv.fs,
        rename(from, to) {
          if (!raced) {
            raced = true
            heldBy(own)
          }
          nodeEnv.fs.rename(from, to)
        },
      },
    }
    expect(() => DirectoryLock.acquire(env, directory.path)).toThrow(
      expect.objectContaining({ code: 'DIRECTORY_IN_USE' }),
    )
    expect(JSON.parse(readFileSync(`${directory.path}/lock`, 'utf8'))).toMatchObject({ pid: process.pid })
  })

  it('a directory of a newer version is refused, and not left locked', () => {
    writeFileSync(`${directory.path}/format.json`, '{"version": 99}')
    expect(() => DirectoryLock.acquire(nodeEnv, directory.path)).toThrow(
      expect.objectContaining({ code: 'FORMAT_TOO_NEW', detail: 'its format is 99, this version reads up to 1' }),
    )
    expect(existsSync(`${directory.path}/lock`)).toBe(false)
  })

  it('a directory whose upgrade was not finished is refused with both versions, and nothing in it is touched', () => {
    const marked = '{"version": 1, "upgradingTo": 2}'
    writeFileSync(`${directory.path}/format.json`, marked)
    expect(() => DirectoryLock.acquire(nodeEnv, directory.path)).toThrow(
      expect.objectContaining({
        code: 'UPGRADE_UNFINISHED',
        detail: 'it was on its way from format 1 to 2, this version reads up to 1',
      }),
    )
    expect(readFileSync(`${directory.path}/format.json`, 'utf8')).toBe(marked)
    expect(existsSync(`${directory.path}/lock`)).toBe(false)
  })

  it.each([0, -1, 0.5, '"1"', 'null'])('a directory of version %s is refused: there was none', (version) => {
    writeFileSync(`${directory.path}/format.json`, `{"version": ${version}}`)
    expect(() => DirectoryLock.acquire(nodeEnv, directory.path)).toThrow(
      expect.objectContaining({ code: 'FORMAT_UNREADABLE' }),
    )
  })

  it('a directory without the right to write is refused with words', () => {
    const refused = Object.assign(new Error("EACCES: permission denied, open 'lock'"), { code: 'EACCES' })
    const env: Env = {
      ...nodeEnv,
      fs: {
        ...nodeEnv.fs,
        createExclusive: () => {
          throw refused
        },
      },
    }
    expect(() => DirectoryLock.acquire(env, directory.path)).toThrow(
      expect.objectContaining({ code: 'DIRECTORY_NOT_WRITABLE' }),
    )
  })
})
