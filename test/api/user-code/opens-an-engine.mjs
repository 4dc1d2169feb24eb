import { Millrace } from '../../../dist/index.js'

const mill = await Millrace.open()

export const enrich = (row) => ({ ...row, topics: mill.topics.list() })
