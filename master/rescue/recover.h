/* `reeve-master recover`: a cluster whose majority is lost for good goes on from what one master still has. Offline, by
 * a person's decision.
 *
 * What a minority has may lack acknowledged writes: those that only the lost ones had. So the candidates (this master's
 * directory, and copies of others') are compared as Raft compares logs, and what this one lacks is shown; a shorter log
 * is taken only with --force. Then the state becomes a cluster of this master alone, under a new id, with a new log;
 * the CA and all certificates of agents and clients go on, and the other masters join anew. The CA's key is put
 * together from the parts in these directories (auth/authority.h); if they are too few the cluster goes on without it:
 * the master shows its former certificate, and nobody is certified until the cluster has another CA (`rctl cert
 * rotate-ca`). Entries are taken whether committed or not, since nobody is left who knows.
 *
 * Order of steps, each durable: the new log is written to recovered/; master.yaml gets the new id and `recovered` (from
 * here on it is decided, before it nothing has changed); raft/ is moved to quarantine-TIME/; recovered/ becomes raft/;
 * the certificate is made; the list of known masters goes; `recovered` goes. `reeve-master run` or recover go on
 * where a crash interrupted. */
#ifndef MASTER_RESCUE_RECOVER_H
#define MASTER_RESCUE_RECOVER_H

#include <stdbool.h>

#include "master/config.h"

#define RECOVER_IDS_SPARED       100u     /* that may have been given away by entries that are lost */
#define RECOVER_REVISIONS_SPARED 1000000u /* likewise: no revision is used for two things */
#define RECOVER_TERMS_SPARED     1000u
#define RECOVER_PEERS_MAX        16u

/* Prints to stdout. yes: do not ask. ERR_USAGE: refused, or not confirmed; nothing was changed. */
int recover_run(const char *dir, const char *const *peer_dirs, unsigned peers, bool yes, bool force, struct error *err);
/* From `recovered` on. */
int recover_finish(struct master_config *c, const struct log *log, struct error *err);
/* `reeve-master inspect`: one directory, looked at alone. */
int recover_inspect(const char *dir, struct error *err);

#endif
