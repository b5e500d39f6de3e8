# bench on the processor: docker build -t disentangle-bench . && docker run --rm -v "$PWD/results:/bench/results" disentangle-bench run
FROM python:3.11-slim
WORKDIR /source
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt '.[all]'
WORKDIR /bench
ENTRYPOINT ["bench"]
CMD ["--help"]
