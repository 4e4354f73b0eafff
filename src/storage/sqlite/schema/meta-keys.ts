/** Keys of the table `meta`, which holds single values as text. */

/** The current policy, as JSON. */
export const POLICY_KEY = 'policy';
/** Created with the database. Distinguishes its cursors from those of another database. */
export const LOG_ID_KEY = 'log_id';
/** The highest version of any user whose record was removed. */
export const VERSION_FLOOR_KEY = 'version_floor';
/** The highest seq that retention has removed from the log; 0 if none. */
export const PURGED_THROUGH_KEY = 'purged_through';
