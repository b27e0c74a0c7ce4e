/* The rows of the table of faults, by what they hurt: nemesis_process.c, nemesis_network.c, ...; and what they share
 * (nemesis.c). */
#ifndef TESTS_FAULT_NEMESES_H
#define TESTS_FAULT_NEMESES_H

#include "tests/fault/trial.h"

extern const struct nemesis *const nemeses_process[],
    *const nemeses_network[], *const nemeses_disk[], *const nemeses_damage[],
                                                         *const nemeses_members[],
                                                             *const nemeses_agents[],
                                                                 *const nemeses_mixed[]; /* NULL at the end */

/* A member that is in, by chance; of those whose bit is set in `among` (0 = all). -1 if there is none. */
int nemesis_pick(struct trial *t, unsigned among);
/* The leader, or any member if nobody says that it leads now. */
unsigned nemesis_pick_leader(struct trial *t);
/* count members by chance, as bits. */
unsigned nemesis_pick_some(struct trial *t, unsigned count);
unsigned nemesis_minority(const struct trial *t); /* how many can be lost */
/* "m1 m3" */
const char *nemesis_names(unsigned members, char *out, size_t size);

#endif
