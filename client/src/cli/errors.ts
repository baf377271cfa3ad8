import { FleetError } from '../errors.ts';

/** The command line cannot mean anything: exit code 2. */
export class UsageError extends FleetError {}

/** The operation was tried and did not succeed, and that has been said already: exit code 1. */
export class OperationFailed extends FleetError {}
