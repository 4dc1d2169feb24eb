/** All that a stage with a function of the user's needs on a worker, loaded by the first. */
export { Flights } from './flights.js'
export { callGates, UserPipeline, userStage } from './user-pipeline.js'
