/**
 * What others did on such a machine as these queries' requirements come from (2-core AMD EPYC, 10 M events, steady state), in millions of events of the whole stream per
 * CPU second of the process; the loops by hand per second, over bids that are objects in memory already. Read as ±20 %.
 */
const peers: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'Spark 4.3 from Parquet': {
    ...{ q0: 3.3, q1: 3.1, q2: 13.9, q3: 7.3, q4: 1.1, q5: 0.8, q7: 0.79, q8: 5, q11: 1.6, q12: 4.8, q17: 1.9 },
    ...{ q20: 0.34, q22: 1 },
  },
  'Spark 4.3 streaming': { q0: 1.2, q1: 0.67, q2: 1.3, q5: 0.25, q7: 0.8, q11: 0.51, q12: 0.74, q17: 0.48 },
  'Flink 2.3': {
    ...{ q0: 0.97, q1: 0.87, q2: 0.79, q3: 1, q4: 0.15, q5: 0.33, q7: 0.1, q8: 0.67, q9: 0.08, q11: 0.27 },
    ...{ q12: 0.43, q15: 0.22, q16: 0.04, q17: 0.46, q18: 0.22, q19: 0.21, q20: 0.18, q22: 0.56 },
  },
  'a loop by hand': { q0: 31, q1: 25, q2: 42, q5: 8.2, q7: 22, q12: 10.8, q17: 4.2 },
}

/** Millions of events per CPU second. */
const required: Readonly<Record<string, number>> = {
  ...{ q0: 15, q1: 15, q2: 30, q3: 15, q4: 2, q5: 8, q7: 10, q8: 10, q9: 1.5, q11: 3, q12: 12, q15: 1.5 },
  ...{ q16: 0.5, q17: 4.5, q18: 2.5, q19: 1.5, q20: 2, q22: 3 },
}

export const requiredRates: Readonly<Record<string, number>> = Object.fromEntries(
  Object.entries(required).map(([name, millions]) => [name, millions * 1e6]),
)

export function peersText(query: string): string {
  const known = Object.entries(peers).filter(([, rates]) => rates[query] !== undefined)
  return known.map(([peer, rates]) => `${peer} ${rates[query]} M`).join(', ')
}
