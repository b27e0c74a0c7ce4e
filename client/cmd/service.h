/* Services made from the command line: what create service, expose and run --expose share. */
#ifndef CLIENT_CMD_SERVICE_H
#define CLIENT_CMD_SERVICE_H

#include "client/cmd/common.h"

/* A Service of a name, without ports and selector. */
struct value *service_document(struct rctl *r, const char *name);
/* Another port. name, protocol: NULL = none; target: a number or a name, NULL = the same as the port. */
struct value *service_add_port(struct rctl *r, struct value *doc, const char *name, int64_t port, const char *target,
                               const char *protocol);

extern const struct command create_service;

#endif
