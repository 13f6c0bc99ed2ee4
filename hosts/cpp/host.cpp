// Runs tokens through a model, stage by stage: host MODEL.flat TOKEN... > RESULT
// Both files are described in hosts/README.md.
#include "llama3.hpp"
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

// Reads numbers, which stay where they are to the end, as the model only refers to them.
template <class T> T *read(std::istream &file, ptrdiff_t count) {
  T *data = new T[count];
  file.read(reinterpret_cast<char *>(data), count * sizeof(T));
  return data;
}

int main(int argc, char **argv) {
  std::ifstream file(argv[1], std::ios::binary);
  const double *scalars = read<double>(file, 3);
  const int *shape = read<int>(file, 9), layers = shape[2], headDim = shape[5];
  static Llama3Model model;
  model.setShape(shape[0], shape[1], layers, shape[3], shape[4], headDim, shape[6], scalars[0]);
  model.setRope(static_cast<RopeStyle>(shape[7]), scalars[1], read<float>(file, headDim / 2), scalars[2]);
  for (int record = 0; record < shape[8]; record++) {
    const int *about = read<int>(file, 7), rows = about[4], size = about[6];
    const auto type = static_cast<TensorType>(about[3]);
    const float *floats = type == TensorType::f32 ? read<float>(file, size / 4) : nullptr;
    Tensor *tensor = model.getTensor(static_cast<TensorId>(about[0]), about[1]);
    if (about[2] == 1) tensor->setBias(floats);
    else tensor->set(type, rows, about[5], floats, nullptr, floats ? nullptr : read<uint8_t>(file, size));
    if (about[2] != 2) continue;
    const ptrdiff_t length = tensor->getPackedLength();
    tensor->setPacked(floats ? nullptr : new int16_t[length](), floats ? new float[length]() : nullptr);
    tensor->pack(0, 1);
  }
  static Llama3State state;
  const int count = argc - 2;
  state.init(&model, count, 1, count, 1);
  KvCache *cache = state.getCache();
  cache->setMemory(new float[cache->getKeysLength()](), new float[cache->getValuesLength()]());
  std::vector<float *> buffers;
  for (int id = 0; id <= static_cast<int>(Buffer::sines); id++) {
    buffers.push_back(new float[state.getBufferLength(static_cast<Buffer>(id))]);
    state.setBuffer(static_cast<Buffer>(id), buffers[id]);
  }
  std::vector<int> tokens(count), rows(count), sequences(count);
  for (int row = 0; row < count; row++) tokens[row] = std::stoi(argv[2 + row]), rows[row] = row;
  state.setBatch(tokens.data(), rows.data(), sequences.data(), rows.data());
  const auto write = [&](Buffer id) {
    const char *data = reinterpret_cast<char *>(buffers[static_cast<int>(id)]);
    std::cout.write(data, state.getBufferLength(id) * sizeof(float)).flush();
  };
  state.prepare(count);
  state.embed(count);
  write(Buffer::residual);
  for (int layer = 0; layer < layers; layer++) {
    state.attentionBranch(layer, count);
    write(Buffer::residual);
    state.feedForwardBranch(layer, count);
    write(Buffer::residual);
  }
  state.head(count);
  write(Buffer::logits);
}
