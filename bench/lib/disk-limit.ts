import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { median } from './measure.js'

/** What this disk does when nothing but the disk is asked. */

const MIB = 1 << 20

/** Bytes per second of writes of 1 MiB one after the other, the final fdatasync included. */
export function sequentialWrite(directory: string, mebibytes: number): number {
  const path = join(directory, 'sequential-write')
  const block = Buffer.alloc(MIB)
  for (let i = 0; i < MIB; i++) block[i] = (i * 2654435761) >>> 13
  const fd = openSync(path, 'w')
  try {
    const start = performance.now()
    for (let i = 0; i < mebibytes; i++) writeSync(fd, block, 0, MIB, i * MIB)
    fdatasyncSync(fd)
    return (mebibytes * MIB * 1000) / (performance.now() - start)
  } finally {
    closeSync(fd)
    rmSync(path)
  }
}

/** Milliseconds, median, of an append of 4 KiB and its fdatasync. */
export function appendAndSync(directory: string, repeats: number): number {
  const path = join(directory, 'append-and-sync')
  const page = Buffer.alloc(4096, 7)
  const fd = openSync(path, 'w')
  try {
    const times: number[] = []
    for (let i = 0; i < repeats; i++) {
      const start = performance.now()
      writeSync(fd, page, 0, page.length, i * page.length)
      fdatasyncSync(fd)
      times.push(performance.now() - start)
    }
    return median(times)
  } finally {
    closeSync(fd)
    rmSync(path)
  }
}
