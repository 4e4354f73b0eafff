/** `porchlight doctor`: checks a database for damage and inconsistencies. It changes nothing. */
import { diagnoseDatabase, type Diagnosis } from '../storage/sqlite/offline/doctor/doctor.ts';
import { toCommandError } from './command-errors.ts';
import { renderRowCounts } from './render-row-counts.ts';

export interface DoctorRequest {
  readonly file: string;
  /** Skip the comparison of indexes with their tables. */
  readonly quick: boolean;
  readonly json: boolean;
}

export interface DoctorReport {
  /** Text or JSON, ending with a line break. */
  readonly text: string;
  /** True when no finding is an error. Warnings are allowed. */
  readonly healthy: boolean;
}

/** @throws StartupError when the database cannot be read. */
export const runDoctor = ({ file, quick, json }: DoctorRequest): DoctorReport => {
  try {
    const diagnosis = diagnoseDatabase(file, quick);
    const healthy = !diagnosis.findings.some(({ severity }) => severity === 'error');
    return {
      text: json ? `${JSON.stringify({ healthy, ...diagnosis })}\n` : renderDiagnosis(file, diagnosis, healthy),
      healthy,
    };
  } catch (error) {
    throw toCommandError(error);
  }
};

const renderDiagnosis = (
  path: string,
  { schema, integrity, file, counted, findings }: Diagnosis,
  healthy: boolean,
): string =>
  [
    `${path}: ${healthy ? 'healthy' : 'NOT healthy'}`,
    `  schema:   ${schema?.toLowerCase() ?? 'unreadable'}`,
    `  file:     ${file.bytes} bytes, ${file.pages} pages, ${file.freePages} of them free; write-ahead log ${file.walBytes} bytes`,
    ...(counted === null ? [] : renderRowCounts(counted)),
    `  checked:  ${integrity === 'full' ? 'the whole file, including indexes' : 'the file without its indexes (--quick)'}`,
    ...findings.flatMap(({ id, severity, what, count, examples }) => [
      `${severity} ${id} (${count}): ${what}`,
      ...examples.map((example) => `    ${example}`),
      ...(count > examples.length ? [`    and ${count - examples.length} more`] : []),
    ]),
    '',
  ].join('\n');
