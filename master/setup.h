/* Making a master's data directory: `reeve-master init` (a new cluster) and `reeve-master join` (one more master). Both only prepare; `reeve-master run` serves. */
#ifndef MASTER_SETUP_H
#define MASTER_SETUP_H

#include <stddef.h>

#include "master/config.h"

#define SETUP_CERT_VALID_S (365ll * 24 * 3600)
#define SETUP_REFUSED_MS   5000

/* c: dir, name, cluster, listen, advertise, agent_address (empty = defaults filled in) and timings. Prints the join lines to stdout.
 * ERR_EXISTS if the directory holds a master already. */
int setup_init(struct master_config *c, struct error *err);
/* Names and addresses for a master's certificate: those of listen, advertise and agent_address, and localhost. */
#define SETUP_SANS_MAX 1024
void setup_sans(const struct master_config *c, char *out, size_t size);
/* token `id.secret@fingerprint`; addresses: masters to ask, comma separated. Takes as long as timeout_ms for all of them. */
int setup_join(struct master_config *c, const char *token, const char *addresses, int64_t timeout_ms,
               struct error *err);

#endif
