/* Which agent this is, so that masters tell a restart from a second agent of the same name (the rule:
 * master/nodes/nodes.c).
 *
 * ID is made once for the agent's directory, START counts the starts on it (file `instance`: "ID START"), NONCE is this
 * process. The directory must be locked: so a later START of one ID means that the process before has ended. A
 * damaged or missing file makes a new ID. */
#ifndef AGENT_UTIL_INSTANCE_H
#define AGENT_UTIL_INSTANCE_H

#include "base/env.h"
#include "base/err.h"

#define INSTANCE_SIZE 64
/* Counts this start, durably. Blocking, short. ERR_* if the file cannot be written. */
int instance_begin(const char *dir, const struct env *env, char out[INSTANCE_SIZE], struct error *err);

#endif
