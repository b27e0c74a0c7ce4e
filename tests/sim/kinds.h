/* Two releases in one process: the newer one knows a kind more, Novelty, and a field more of ConfigMaps, novelty. */
#ifndef TESTS_SIM_KINDS_H
#define TESTS_SIM_KINDS_H

#include <stdbool.h>

#define KIND_NOVELTY 60001u

/* What is looked up from now on is what this release knows. Objects keep the kind that they were read as, so a store
 * must always be worked on with the same release. */
void kinds_of_release(bool newer);

#endif
