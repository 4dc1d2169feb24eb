import { MillraceError } from '../../common/errors.js'
import type { LaneFile } from './lane.js'

/** A file is written once: one that is not what it was when it was found would give other rows after a restart than before. */
export function fileChanged({ path, bytes, modifiedAt }: LaneFile, found: string): MillraceError {
  return new MillraceError('FILE_CHANGED', `${path} was changed while a query read it`, {
    detail: `found ${found}, expected the ${bytes} bytes that it had at ${new Date(modifiedAt).toISOString()}`,
    hint: 'write files under a name that begins with a dot, and rename them when they are whole; start the query with a new checkpointLocation to read the changed file',
  })
}
