/** The public names of Millrace. */

export { Column } from './api/column.js'
export { DataFrame, GroupedData } from './api/dataframe.js'
export * from './api/functions.js'
export { Millrace } from './api/millrace.js'
export type { MillraceOptions } from './api/open-options.js'
export { MillraceError } from './common/errors.js'
export { t } from './types/schema.js'
