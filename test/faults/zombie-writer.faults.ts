import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { type Env, nodeEnv } from '../../src/common/env.js'
import { SimulatedMachine } from '../../src/testing/index.js'
import { openLog, RowsAppender, readerOf, readValues } from '../log/log-fixture.js'
import { MachineLog } from './machine-log.js'
import { experiment } from './report.js'

/**
 * F9: a writer that was stopped (SIGSTOP), whose directory another engine took over because it could not see that process, as from another
 * container, and that then goes on. And locks that are stale: of a process that is gone, whose number is used again, of an earlier boot.
 */
const child = fileURLToPath(new URL('./writer-child.mjs', import.meta.url))

/** A process whose lines can be waited for. */
class Writer {
  readonly process: ChildProcess
  readonly #lines: string[] = []
  #wake: () => void = () => undefined

  constructor(directory: string, sends: number) {
    this.process = spawn(process.execPath, [child, directory, String(sends), 'hold'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    createInterface({ input: this.process.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      this.#lines.push(line)
      this.#wake()
    })
  }

  async line(matches: RegExp): Promise<string> {
    for (;;) {
      const found = this.#lines.find((line) => matches.test(line))
      if (found !== undefined) return found
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  sendOneMore(): void {
    this.process.stdin?.write('\n')
  }
}

describe('F9: a zombie writer', () => {
  it('that was stopped, and replaced, writes nothing more when it goes on', async () => {
    const run = experiment('F9 zombie writer')
    const root = mkdtempSync(join(tmpdir(), 'millrace-faults-'))
    const directory = `${root}/data`
    const writer = new Writer(directory, 20)
    try {
      await writer.line(/^done$/)
      writer.process.kill('SIGSTOP')
      const stoppedAt = performance.now()
      const blind: Env = {
        ...nodeEnv,
        processes: {
          ...nodeEnv.processes,
          startOf: (id) => (id === process.pid ? nodeEnv.processes.startOf(id) : undefined),
        },
      }
      const log = await openLog({ dir: directory, env: blind })
      const topic = log.engine.describe('t')
      const before = [0, 1].map((partition) => readValues(readerOf(topic, log.memory, partition), 0))
      const appenders = [0, 1].map((partition) => new RowsAppender(topic, log.memory, partition))
      // Longer than the second after which a holder looks at its lock again.
      let sent = 0
      while (performance.now() - stoppedAt < 1500) {
        appenders[sent % 2]?.append([`new owner ${sent}`])
        await log.engine.syncUpTo([{ topic: 't', partition: sent % 2, offset: (before[sent % 2]?.length ?? 0) + 1 }])
        sent += 1
      }
      writer.process.kill('SIGCONT')
      writer.sendOneMore()
      expect(await writer.line(/^refused/)).toBe('refused PARTITION_READ_ONLY')
      run.count('writes of the zombie refused')
      const ended = new Promise((resolve) => writer.process.once('close', resolve))
      writer.process.stdin?.end()
      await ended
      appenders[0]?.append(['last'])
      await log.close()
      const again = await openLog({ dir: directory })
      expect(again.engine.findings).toEqual([])
      for (const partition of [0, 1]) {
        const values = readValues(readerOf(again.engine.describe('t'), again.memory, partition), 0)
        const old = before[partition] as string[]
        expect(values.slice(0, old.length)).toEqual(old)
        for (const value of values.slice(old.length)) expect(value).toMatch(/^new owner|^last$/)
        run.count('records checked', values.length)
      }
      await again.close()
    } finally {
      writer.process.kill('SIGKILL')
      rmSync(root, { recursive: true, force: true })
    }
    run.print()
  })

  it('stale locks are taken over, live ones are not', async () => {
    const run = experiment('F9 locks')
    const machine = new SimulatedMachine({ seed: run.seed })
    const first = await MachineLog.open(machine, 'group', machine.startProcess(1))
    await expect(MachineLog.open(machine, 'group')).rejects.toMatchObject({ code: 'DIRECTORY_IN_USE' })
    run.count('live holders respected')
    first.process.kill()
    first.letGo()
    // As in a container, where every run is process 1.
    machine.clock.advance(10)
    const second = await MachineLog.open(machine, 'group', machine.startProcess(1))
    run.count('stale locks taken over')
    machine.losePower('all', 'all')
    second.letGo()
    const third = await MachineLog.open(machine, 'group', machine.startProcess(1))
    run.count('stale locks taken over')
    await expect(MachineLog.open(machine, 'group')).rejects.toMatchObject({ code: 'DIRECTORY_IN_USE' })
    run.count('live holders respected')
    await third.finish(third.engine.close())
    third.letGo()
    const fourth = await MachineLog.open(machine)
    await fourth.finish(fourth.engine.close())
    fourth.letGo()
    run.print()
  })
})
