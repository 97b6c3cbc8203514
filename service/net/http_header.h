/*
 * http_header: looks into the header lines of a response, as they came.
 */
#ifndef SERVICE_NET_HTTP_HEADER_H
#define SERVICE_NET_HTTP_HEADER_H

#include "service/base/base.h"

/* lines: "Name: value" lines that end in LF or CRLF. The value of the last header of that
 * name, in whatever case, without blanks around it. */
bool http_header_get(str lines, str name, str *ret_value);
/* Whether the media type of Content-Type is `type` ("text/html"), parameters aside. */
bool http_content_type_is(str lines, str type);
/* "Sun, 06 Nov 1994 08:49:37 GMT" in Unix milliseconds. */
bool http_date_parse(str text, uint64_t *ret_ms);

#endif
