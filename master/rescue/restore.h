/* `reeve-master restore`: a cluster's first master from a backup, on an empty machine.
 *
 * The state comes out as it was at the backup's revision, but for what must not be mistaken for the former cluster's:
 *   - the master bears an id that no master of the former cluster ever had, nor one of another restore of the same
 *     file: ids go on at the backup's counter + 100 + one for every second since the backup (RESTORE_IDS_SPARED);
 *   - the next transaction gets a revision far above all that the former cluster can have reached
 *     (RESTORE_REVISIONS_SPARED, and a million for every second since the backup): who watched or read there hears that
 *     its revision is too old and reads anew, nobody takes an old version for a new one. Objects keep their
 *     resourceVersions, transaction ids stay known;
 *   - Raft goes on one term higher, with this one voter. All ids below its own count as removed (master/record.h), so a
 *     former master that comes across this cluster is told so and stops; the former members' addresses (ConfigMap
 *     reeve-masters) are dropped.
 * CA and keys stay the same: agents and users of the former cluster reconnect with the certificates they have, once
 * they are told the address (agents try those they know). An agent goes on with the pods that the backup knows and
 * stops those that were made after it.
 *
 * The former masters must be stopped for good: agents would follow whichever they reach. */
#ifndef MASTER_RESCUE_RESTORE_H
#define MASTER_RESCUE_RESTORE_H

#include "master/config.h"

#define RESTORE_STATE_MAX        (16ull << 30) /* bytes; it is held in memory while it is loaded */
#define RESTORE_IDS_SPARED       100u
#define RESTORE_REVISIONS_SPARED 1000000000u
#define RESTORE_REVISIONS_A_S    1000000u

/* c: as for setup_init, less the cluster's name. file: "-" = standard input. passphrase_file: NULL = asked for on the
 * terminal. Prints what to do next. ERR_EXISTS if the directory is neither empty nor left unfinished; ERR_CORRUPT,
 * ERR_UNSUPPORTED for the file. */
int restore_run(struct master_config *c, const char *file, const char *passphrase_file, struct error *err);
/* Only reads: decrypts, loads the state and compares it with the hashes. Prints what is in it. */
int restore_check(const char *file, const char *passphrase_file, struct error *err);

#endif
