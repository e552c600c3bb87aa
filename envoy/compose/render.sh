#!/bin/sh
# Prints envoy.yaml for the containers of docker-compose.yaml: render.sh FOLDER-OF-ENVOY.YAML
set -eu
folder=$1

# JSON as one line, safe as the replacement of a sed command.
one_line() { tr -d '\n' < "$folder/$1" | sed 's/[\\&|]/\\&/g'; }

sed -e 's|${NODE_ID}|compose|' \
    -e 's|${WASM}|/etc/envoy/flamegate.wasm|' \
    -e 's|${ACCESS_LOG}|/dev/stdout|' \
    -e 's|${ADMIN_PORT}|9901|' \
    -e 's|${GATEWAY_ADDRESS}|0.0.0.0|' \
    -e 's|${GATEWAY_PORT}|10000|' \
    -e 's|${UPSTREAM_HOST}|upstream|' \
    -e 's|${UPSTREAM_PORT}|8081|' \
    -e 's|${CONTROL_HOST}|control|' \
    -e 's|${CONTROL_PORT}|8080|' \
    -e 's|${FILTER_ENVIRONMENT}|[]|' \
    -e 's|max_heap_size_bytes: .*|max_heap_size_bytes: 671088640|' \
    -e "s|\${FILTER_CONFIG}|$(one_line filter.json)|" \
    -e "s|\${SYNC_CONFIG}|$(one_line sync.json)|" \
    "$folder/envoy.yaml"
