import { EpochLog } from '../checkpoint/epoch-log.js'
import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import { DirectoryLock } from '../log/directory-lock.js'
import { type VerifyReport, VerifyTotals, verifyTopics } from '../log/log-verify.js'
import { TransactionLog } from '../log/transaction-log.js'

/**
 * Walks every file of an engine's directory: topics, segments with their indexes, the coordinator's log, checkpoints. The directory is locked
 * meanwhile, and nothing in it is changed. With `salvage` everything that is whole is copied to that directory, which must be
 * empty or missing, and which opens as an engine's directory of its own.
 */
export async function verifyDirectory(env: Env, dir: string, salvage?: string): Promise<VerifyReport> {
  if (!env.fs.exists(`${dir}/topics`) && !env.fs.exists(`${dir}/log`)) {
    throw new MillraceError('NO_ENGINE_DIRECTORY', `${dir} is not the directory of an engine`, {
      detail: 'found neither topics nor log in it',
      hint: 'name the directory that was given to Millrace.open({ dir })',
    })
  }
  if (salvage !== undefined) prepareSalvage(env, dir, salvage)
  const lock = DirectoryLock.acquire(env, dir)
  try {
    const totals = new VerifyTotals()
    await verifyTopics(env, dir, totals, salvage)
    verifyOtherFiles(env, dir, totals, salvage)
    return totals.report()
  } finally {
    lock.release()
  }
}

/** The files beside the topics: of an engine that is open too. */
export function verifyOtherFiles(env: Env, dir: string, totals: VerifyTotals, salvage?: string): void {
  const check = (path: string, look: (path: string) => { readonly end: number; readonly torn: number }): void => {
    const file = `${dir}/${path}`
    if (!env.fs.exists(file)) return
    try {
      const { end, torn } = look(file)
      if (torn > 0) totals.torn.push({ file, byte: end, bytes: torn, reason: 'the last record is not whole' })
      if (salvage !== undefined) copyFile(env, file, `${salvage}/${path}`, end)
    } catch (error) {
      totals.damagedFile(file, error)
    }
  }
  check('transactions.log', (file) => TransactionLog.check(env, file))
  for (const query of env.fs.list(`${dir}/checkpoints`)) {
    check(`checkpoints/${query}/epochs.log`, (file) => EpochLog.check(env, file))
  }
}

function prepareSalvage(env: Env, dir: string, salvage: string): void {
  if (salvage === dir || env.fs.list(salvage).length > 0) {
    throw new MillraceError('SALVAGE_NOT_EMPTY', `${salvage} cannot take what is salvaged`, {
      detail: salvage === dir ? 'it is the directory itself' : 'there is something in it',
      hint: 'name a directory that is empty or does not exist',
    })
  }
  env.fs.makeDirectory(salvage)
}

function copyFile(env: Env, from: string, to: string, bytes: number): void {
  env.fs.makeDirectory(to.slice(0, to.lastIndexOf('/')))
  env.fs.replaceFile(to, env.fs.readFile(from).subarray(0, bytes))
}
