// Runs tokens through a model, stage by stage: java Host MODEL.flat TOKEN... > RESULT
// Both files are described in hosts/README.md.
import java.io.*;
import java.nio.*;
import java.util.stream.IntStream;

class Host {
	static ByteBuffer read(InputStream file, int size) throws IOException {
		return ByteBuffer.wrap(file.readNBytes(size)).order(ByteOrder.LITTLE_ENDIAN);
	}

	static void write(float[] data) throws IOException {
		ByteBuffer bytes = ByteBuffer.allocate(4 * data.length).order(ByteOrder.LITTLE_ENDIAN);
		bytes.asFloatBuffer().put(data);
		System.out.writeBytes(bytes.array());
		System.out.flush();
	}

	public static void main(String[] words) throws IOException {
		InputStream file = new FileInputStream(words[0]);
		DoubleBuffer scalars = read(file, 24).asDoubleBuffer(); // normEps, theta, magnitude
		IntBuffer shape = read(file, 36).asIntBuffer();
		int layers = shape.get(2), headDim = shape.get(5);
		Llama3Model model = new Llama3Model();
		model.setShape(shape.get(0), shape.get(1), layers, shape.get(3), shape.get(4), headDim, shape.get(6), (float) scalars.get(0));
		float[] factors = new float[headDim / 2];
		read(file, 4 * factors.length).asFloatBuffer().get(factors);
		model.setRope(RopeStyle.values()[shape.get(7)], scalars.get(1), factors, (float) scalars.get(2));
		for (int record = 0; record < shape.get(8); record++) {
			IntBuffer about = read(file, 28).asIntBuffer();
			int kind = about.get(2), type = about.get(3), rows = about.get(4), cols = about.get(5), size = about.get(6);
			ByteBuffer data = read(file, size);
			float[] floats = type == TensorType.F32 ? new float[size / 4] : null;
			if (floats != null) data.asFloatBuffer().get(floats);
			Tensor tensor = model.getTensor(TensorId.values()[about.get(0)], about.get(1));
			if (kind == 1) tensor.setBias(floats);
			else tensor.set(type, rows, cols, floats, null, floats == null ? data.array() : null);
			if (kind != 2) continue;
			tensor.setPacked(floats == null ? new short[tensor.getPackedLength()] : null, floats == null ? null : new float[tensor.getPackedLength()]);
			tensor.pack(0, 1);
		}
		int[] tokens = IntStream.range(1, words.length).map(i -> Integer.parseInt(words[i])).toArray();
		int count = tokens.length;
		Llama3State state = new Llama3State();
		state.init(model, count, 1, count, 1);
		KvCache cache = state.getCache();
		cache.setMemory(new float[cache.getKeysLength()], new float[cache.getValuesLength()]);
		float[][] buffers = new float[Buffer.values().length][];
		for (Buffer id : Buffer.values()) state.setBuffer(id, buffers[id.ordinal()] = new float[state.getBufferLength(id)]);
		int[] rows = IntStream.range(0, count).toArray();
		state.setBatch(tokens, rows, new int[count], rows);
		float[] residual = buffers[Buffer.RESIDUAL.ordinal()];
		state.prepare(count);
		state.embed(count);
		write(residual);
		for (int layer = 0; layer < layers; layer++) {
			state.attentionBranch(layer, count);
			write(residual);
			state.feedForwardBranch(layer, count);
			write(residual);
		}
		state.head(count);
		write(buffers[Buffer.LOGITS.ordinal()]);
	}
}
