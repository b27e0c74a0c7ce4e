/* The agent's own directory as far as it identifies the node: agent.yaml, ca.pem, agent.pem, agent.key. */
#ifndef AGENT_CONFIG_H
#define AGENT_CONFIG_H

#include "base/env.h"
#include "base/mem.h"
#include "proto/net/net.h"

#define CONFIG_MASTERS_MAX 64u

struct config {
    struct arena arena;
    const char *dir; /* absolute */
    const char *name;
    const char *const *masters; /* NULL-terminated */
    const char *cluster;
};
/* ERR_NOT_FOUND tells how to join; ERR_INVALID names file, line and field. config_close in either case. */
int config_load(struct config *c, const char *dir, struct error *err);
void config_close(struct config *c);
/* TLS with the certificate of the directory, also if it has expired: renewing it is what the agent connects for
 * first (agent/link/renew.h). */
int config_tls(const struct config *c, struct net_tls **out, struct error *err);

struct config_join {
    const char *dir, *name, *token;
    const char *const *masters; /* as given on the command line, NULL-terminated: the node reaches these for sure */
    const struct log *log;
};
/* Makes a key, has it certified by a master (checked by the fingerprint in the token), writes the directory. Runs a
 * loop of its own. */
int config_join(const struct config_join *j, struct error *err);
/* "a:1,b:2" in the arena, NULL-terminated; ports are added where they are missing. ERR_USAGE if there is none. */
int config_parse_masters(struct arena *a, const char *text, const char *const **out, struct error *err);

#endif
