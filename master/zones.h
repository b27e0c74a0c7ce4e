/* The time zones of this machine: files of the system's zone database, read when they are asked for and again when they
 * have changed. A name that is none of the database's (zone_name_is) never becomes a path. Loop thread only. */
#ifndef MASTER_ZONES_H
#define MASTER_ZONES_H

#include "proto/facts/zone.h"

#define ZONES_DIRECTORY "/usr/share/zoneinfo" /* Debian's package tzdata */
#define ZONES_MAX       640u                  /* kept; the database has fewer. With more the oldest is dropped */

struct zones;
struct zones *zones_new(const char *directory);
void zones_free(struct zones *z); /* NULL is fine */
/* Borrowed until the next call. NULL, with err filled (may be NULL): ERR_NOT_FOUND, or ERR_INVALID if the file is
 * damaged. */
const struct zone *zones_get(struct zones *z, struct str name, struct error *err);

#endif
