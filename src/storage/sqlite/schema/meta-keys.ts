/** The single values that a database keeps in its table `meta`, all of them as text. */

/** JSON of the policy in force. */
export const POLICY_KEY = 'policy';
/** Made with the database: tells its cursors from those of another one. */
export const LOG_ID_KEY = 'log_id';
/** The highest version ever forgotten. */
export const VERSION_FLOOR_KEY = 'version_floor';
/** The highest seq that the retention has removed from the log; 0 for none. */
export const PURGED_THROUGH_KEY = 'purged_through';
