/* Deletions of many objects that go on in later turns. Inside of master/api. */
#ifndef MASTER_API_DELETE_H
#define MASTER_API_DELETE_H

#include "master/api/api.h"

/* Namespaces that the cluster itself lives in, what masters keep of it, and the built-in priority classes. */
/* ERR_FORBIDDEN in err, if so. who: NULL is the cluster itself. */
bool delete_is_refused(const struct principal *who, const struct object *o, struct error *err);

void clear_go_on(struct api_call *c);  /* the next piece; of its call alone that has one */
void clear_let_go(struct api_call *c); /* it goes no further; harmless if there is none */

#endif
