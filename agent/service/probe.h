/* What the kernel must be able to do so that a table of ours can be made. */
#ifndef AGENT_SERVICE_PROBE_H
#define AGENT_SERVICE_PROBE_H

#include "agent/service/nft.h"
#include "base/err.h"

/* Sends a transaction that has no end, so that the kernel checks it and does nothing. 0 or -errno: its first error. */
typedef int service_probe_try(const struct nft *n, void *data);

/* Tries each thing by itself. ERR_UNSUPPORTED tells all that is missing, by the names of the kernel's options. */
struct probe_feature {
    const char *what, *option;
    void (*write)(struct nft *n); /* into an empty table */
};
struct probe_words {
    const char *table, *what; /* "this kernel cannot ..." */
};
int probe_features(const struct probe_feature *features, unsigned count, const struct probe_words *words,
                   service_probe_try *try, void *data, struct error *err);
/* What balancing services (skeleton.h) is made of. */
int service_probe(service_probe_try *try, void *data, struct error *err);

#endif
