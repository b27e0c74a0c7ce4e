/* What ConfigMaps hold. */
#ifndef PROTO_FACTS_CONFIGDATA_H
#define PROTO_FACTS_CONFIGDATA_H

#include "proto/schema/object.h"

/* The text at `key` of a ConfigMap's data, borrowed from the object; empty if there is none, or no object (NULL). */
struct str configdata_text(const struct object *o, const char *key);

#endif
