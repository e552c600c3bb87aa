# A stand-in for the build stage of envoy/Dockerfile: what `make build` left in dist/, instead of a build in the engine.
# tests/compose.sh puts the real file's last stages, unchanged, behind it.
FROM debian:bookworm-slim AS build
COPY dist/flamegate.wasm dist/flamegate-control dist/demo-upstream /out/
COPY envoy /build/envoy
RUN sh /build/envoy/compose/render.sh /build/envoy > /out/envoy.yaml
